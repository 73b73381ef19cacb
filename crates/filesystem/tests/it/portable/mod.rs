//! Files of stores: from every backend to every other, what is refused, and imports that are killed.

#[cfg(all(feature = "sled", feature = "local"))]
mod crash;
mod files;
mod kit;
mod pairs;
mod targets;
