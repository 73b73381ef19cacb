//! The check for linearizability, checked: it refuses what is wrong, and agrees with a checker made by others.

mod agrees;
mod by_hand;
mod wrong;
