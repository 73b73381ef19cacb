//! The moves of one change.

use std::ops::{Deref, DerefMut};

use smallvec::SmallVec;

use crate::Edge;

/// The moves of one change, in order: none, one, or one and the pause that waited for it. A slice of them.
///
/// They lie within, so that a session at work allocates nothing to say that it moved.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Edges(SmallVec<[Edge; 2]>);

impl Edges {
    pub(crate) fn push(&mut self, edge: Edge) {
        self.0.push(edge);
    }
}

impl Deref for Edges {
    type Target = [Edge];

    fn deref(&self) -> &[Edge] {
        &self.0
    }
}

impl DerefMut for Edges {
    fn deref_mut(&mut self) -> &mut [Edge] {
        &mut self.0
    }
}

impl<'a> IntoIterator for &'a Edges {
    type Item = &'a Edge;
    type IntoIter = std::slice::Iter<'a, Edge>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

impl IntoIterator for Edges {
    type Item = Edge;
    type IntoIter = EdgesIntoIter;

    fn into_iter(self) -> Self::IntoIter {
        EdgesIntoIter(self.0.into_iter())
    }
}

/// Gives the moves of a change away.
#[derive(Debug)]
pub struct EdgesIntoIter(smallvec::IntoIter<[Edge; 2]>);

impl Iterator for EdgesIntoIter {
    type Item = Edge;

    fn next(&mut self) -> Option<Edge> {
        self.0.next()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.0.size_hint()
    }
}
