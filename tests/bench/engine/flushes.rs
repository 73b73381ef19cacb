//! What the disk itself does.

use std::os::unix::fs::FileExt;
use std::path::Path;

use tokio::time::Instant;

const COUNT: u32 = 500;

/// Flushes of 300 bytes a second, into a file that was written before.
pub(crate) fn a_second(folder: &Path) -> f64 {
    1e3 / milliseconds(folder)
}

/// The milliseconds of one of them.
pub(crate) fn milliseconds(folder: &Path) -> f64 {
    let file = std::fs::File::create(folder.join("flushes")).expect("the folder can be written");
    file.write_all_at(&vec![0; 300 * COUNT as usize], 0)
        .and_then(|()| file.sync_all())
        .expect("the disk has room");
    let start = Instant::now();
    for at in 0..COUNT {
        file.write_all_at(&[1; 300], u64::from(at) * 300)
            .and_then(|()| file.sync_data())
            .expect("the disk can be written");
    }
    start.elapsed().as_secs_f64() * 1e3 / f64::from(COUNT)
}
