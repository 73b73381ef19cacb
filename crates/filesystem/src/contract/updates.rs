//! Updates: read, decide, write, through `cas_update`.
