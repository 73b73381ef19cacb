//! dormouse
fn main() {}
