//! The rows of one key in the order of their sub-keys: a sorted vector while they are few, as they are of most keys, and a tree
//! when they become many. Knows neither codecs nor what changed.

use std::borrow::Borrow;
use std::collections::{BTreeMap, btree_map};
use std::ops::Bound;

/// With more rows than this a key has a tree, whose nodes have room for eleven.
const FEW_MAX: usize = 16;

/// See the module.
#[derive(Debug, Clone)]
pub enum KeyRows<K, R> {
    /// Sorted.
    Few(Vec<(K, R)>),
    /// Boxed, so that a slot is as small as a vector.
    Many(Box<Tree<K, R>>),
}

/// The rows of a key that has many.
#[derive(Debug, Clone)]
pub struct Tree<K, R>(BTreeMap<K, R>);

impl<K, R> Default for KeyRows<K, R> {
    fn default() -> Self {
        Self::Few(Vec::new())
    }
}

impl<K: Ord, R> KeyRows<K, R> {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Few(rows) => rows.len(),
            Self::Many(tree) => tree.0.len(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn get<Q: Ord + ?Sized>(&self, key: &Q) -> Option<&R>
    where
        K: Borrow<Q>,
    {
        match self {
            Self::Few(rows) => find(rows, key).ok().map(|place| &rows[place].1),
            Self::Many(tree) => tree.0.get(key),
        }
    }

    pub(super) fn get_mut<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<&mut R>
    where
        K: Borrow<Q>,
    {
        match self {
            Self::Few(rows) => find(rows, key).ok().map(|place| &mut rows[place].1),
            Self::Many(tree) => tree.0.get_mut(key),
        }
    }

    /// Puts a row, and gives the one that it replaces.
    pub(super) fn insert(&mut self, key: K, row: R) -> Option<R> {
        match self {
            Self::Few(rows) => match find(rows, &key) {
                Ok(place) => Some(std::mem::replace(&mut rows[place].1, row)),
                Err(_) if rows.len() == FEW_MAX => {
                    let mut tree: BTreeMap<K, R> = std::mem::take(rows).into_iter().collect();
                    tree.insert(key, row);
                    *self = Self::Many(Box::new(Tree(tree)));
                    None
                }
                Err(place) => {
                    // Most keys have one row, for which a vector would take room for four.
                    if rows.is_empty() {
                        rows.reserve_exact(1);
                    }
                    rows.insert(place, (key, row));
                    None
                }
            },
            Self::Many(tree) => tree.0.insert(key, row),
        }
    }

    /// Takes a row out with its sub-key.
    pub(super) fn remove<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<(K, R)>
    where
        K: Borrow<Q>,
    {
        let removed = match self {
            Self::Few(rows) => find(rows, key).ok().map(|place| rows.remove(place)),
            Self::Many(tree) => tree.0.remove_entry(key),
        };
        self.shrink();
        removed
    }

    /// Takes out the rows before a sub-key.
    pub(super) fn remove_before(&mut self, key: &K) -> Vec<(K, R)> {
        let removed = match self {
            Self::Few(rows) => {
                let place = rows.partition_point(|(other, _)| other < key);
                rows.drain(..place).collect()
            }
            Self::Many(tree) => {
                let kept = tree.0.split_off(key);
                std::mem::replace(&mut tree.0, kept).into_iter().collect()
            }
        };
        self.shrink();
        removed
    }

    /// A key whose rows have become few has a vector again, well below the number at which it gets a tree.
    fn shrink(&mut self) {
        if let Self::Many(tree) = self
            && tree.0.len() <= FEW_MAX / 4
        {
            *self = Self::Few(std::mem::take(&mut tree.0).into_iter().collect());
        }
    }

    /// The rows in order.
    pub(super) fn iter(&self) -> KeyRowsIter<'_, K, R> {
        self.range(Bound::Unbounded, Bound::Unbounded)
    }

    /// The rows between two sub-keys, the first of which is not behind the second.
    pub(super) fn range(&self, from: Bound<&K>, to: Bound<&K>) -> KeyRowsIter<'_, K, R> {
        match self {
            Self::Few(rows) => {
                let begin = rows.partition_point(|(key, _)| match from {
                    Bound::Included(from) => key < from,
                    Bound::Excluded(from) => key <= from,
                    Bound::Unbounded => false,
                });
                let end = rows.partition_point(|(key, _)| match to {
                    Bound::Included(to) => key <= to,
                    Bound::Excluded(to) => key < to,
                    Bound::Unbounded => true,
                });
                KeyRowsIter::Few(rows.get(begin..end).unwrap_or_default().iter())
            }
            Self::Many(tree) => KeyRowsIter::Many(tree.0.range((from, to))),
        }
    }
}

impl<K, R> KeyRows<K, R> {
    pub(super) fn into_vec(self) -> Vec<(K, R)> {
        match self {
            Self::Few(rows) => rows,
            Self::Many(tree) => tree.0.into_iter().collect(),
        }
    }
}

fn find<K: Borrow<Q>, R, Q: Ord + ?Sized>(rows: &[(K, R)], key: &Q) -> Result<usize, usize> {
    // Most new rows come behind all others.
    match rows.last() {
        Some((last, _)) if last.borrow() < key => Err(rows.len()),
        _ => rows.binary_search_by(|(other, _)| other.borrow().cmp(key)),
    }
}

/// Rows of a key, from either end.
#[derive(Debug)]
pub enum KeyRowsIter<'a, K, R> {
    /// Of few.
    Few(std::slice::Iter<'a, (K, R)>),
    /// Of many.
    Many(btree_map::Range<'a, K, R>),
}

impl<'a, K, R> Iterator for KeyRowsIter<'a, K, R> {
    type Item = (&'a K, &'a R);

    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Self::Few(rows) => rows.next().map(|(key, row)| (key, row)),
            Self::Many(rows) => rows.next(),
        }
    }
}

impl<K, R> DoubleEndedIterator for KeyRowsIter<'_, K, R> {
    fn next_back(&mut self) -> Option<Self::Item> {
        match self {
            Self::Few(rows) => rows.next_back().map(|(key, row)| (key, row)),
            Self::Many(rows) => rows.next_back(),
        }
    }
}
