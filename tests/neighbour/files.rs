//! By the file system: contents, names, links, handles.

use std::fs::{self, File};
use std::io::Read;
use std::os::fd::AsRawFd;
use std::os::unix::fs::symlink;
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags, open, openat};

use crate::{Targets, attempt, refused};

pub(crate) fn try_all(targets: &Targets) {
    for (what, file) in &targets.files {
        attempt("read the file", what, || read(file));
        attempt("append to the file", what, || {
            File::options().append(true).open(file).map_err(refused)?;
            Ok("it is open to write".to_owned())
        });
        attempt("read it by a link in the own folder", what, || by_link(file));
        attempt("make a second name for it in the own folder", what, || {
            second_name(file)
        });
        attempt("move it into the own folder", what, || taken(file));
        attempt("open its path alone, then that again", what, || again(file));
        attempt("read it from the root of another process", what, || {
            read(&Path::new("/proc/self/root").join(file.strip_prefix("/").unwrap_or(file)))
        });
        attempt("cut it off", what, || {
            let cut = rustix::fs::statvfs(file).map_err(refused)?;
            // Only asked for where it would change nothing: a length beyond any file.
            File::options().write(true).open(file).map_err(refused)?;
            Ok(format!(
                "it could be cut off, on a disk of {} blocks",
                cut.f_blocks
            ))
        });
    }
    for (what, folder) in &targets.folders {
        attempt("list the folder", what, || {
            let names = fs::read_dir(folder).map_err(refused)?;
            Ok(format!("{} names", names.count()))
        });
        attempt("read any file below it", what, || below(folder));
        attempt("make a file in it", what, || {
            let file = folder.join("neighbour");
            File::create_new(&file).map_err(refused)?;
            fs::remove_file(&file).map_err(refused)?;
            Ok("a file was made".to_owned())
        });
        attempt("make a link in it", what, || {
            let link = folder.join("neighbour-link");
            symlink("/etc/passwd", &link).map_err(refused)?;
            fs::remove_file(&link).map_err(refused)?;
            Ok("a link was made".to_owned())
        });
    }
}

fn read(file: &Path) -> Result<String, String> {
    let mut bytes = Vec::new();
    File::open(file)
        .and_then(|file| file.take(1 << 20).read_to_end(&mut bytes))
        .map_err(refused)?;
    Ok(format!("{} bytes", bytes.len()))
}

fn by_link(file: &Path) -> Result<String, String> {
    let link = Path::new("link-to-it");
    let _ = fs::remove_file(link);
    symlink(file, link).map_err(refused)?;
    let read = read(link);
    fs::remove_file(link).map_err(refused)?;
    read
}

fn second_name(file: &Path) -> Result<String, String> {
    let name = Path::new("second-name");
    let _ = fs::remove_file(name);
    fs::hard_link(file, name).map_err(refused)?;
    let read = read(name);
    fs::remove_file(name).map_err(refused)?;
    read
}

fn taken(file: &Path) -> Result<String, String> {
    let here = Path::new("taken");
    fs::rename(file, here).map_err(refused)?;
    fs::rename(here, file).map_err(refused)?;
    Ok("it was moved, and back".to_owned())
}

/// A descriptor that names a file without the right to read it, opened again by its name in `/proc`.
fn again(file: &Path) -> Result<String, String> {
    let path = open(file, OFlags::PATH, Mode::empty()).map_err(refused)?;
    let name = format!("/proc/self/fd/{}", path.as_raw_fd());
    let opened = openat(CWD, name, OFlags::RDONLY, Mode::empty()).map_err(refused)?;
    let mut bytes = Vec::new();
    File::from(opened)
        .take(1 << 20)
        .read_to_end(&mut bytes)
        .map_err(refused)?;
    Ok(format!("{} bytes", bytes.len()))
}

/// The first file below a folder that can be read.
fn below(folder: &Path) -> Result<String, String> {
    for entry in fs::read_dir(folder).map_err(refused)? {
        let path = entry.map_err(refused)?.path();
        let found = if path.is_dir() { below(&path) } else { read(&path) };
        if found.is_ok() {
            return found;
        }
    }
    Err("nothing in it can be read".to_owned())
}
