//! Only staging all of a blob makes the proof that attaching asks for.
use dormouse_filesystem::blob::StagedBlob;
use dormouse_filesystem::Tenant;

fn unstaged<R>(row: R) -> StagedBlob<Tenant> {
    StagedBlob(row)
}

fn main() {}
