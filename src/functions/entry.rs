//! What is known of a function in one place: its names, what it takes and gives, what it does, who may call it, how it is made. The entry of
//! a function of our own stands beside it, in its own file; those of DataFusion's are in `of_engine/`. Knows how a list of them is asked by
//! name, but none of the lists (`registry`, `aggregations`, `windows`).
//! An internal function is part of plans only: no statement can call it, whatever its name.

use std::collections::HashMap;
use std::ops::Deref;
use std::sync::Arc;

use datafusion::logical_expr::{AggregateUDF, ScalarUDF, Volatility};

use crate::clock::Clock;

/// Who may call a function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Visibility {
    /// Every statement.
    Public,
    /// Plans only: the planner and its rules put it there.
    Internal,
}

/// What a function compares by what its arguments hold, which equal values may hold in several forms (-0 and 0, 1 day and 24 hours).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compares {
    /// Nothing.
    Nothing,
    /// Its arguments with each other.
    Arguments,
    /// The items of arrays.
    Items,
}

/// What is said of a function, whoever makes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct About {
    /// Its name, in lower case.
    pub name: &'static str,
    /// Other names of it.
    pub aliases: &'static [&'static str],
    /// Whether it gives the same for the same arguments.
    pub volatility: Volatility,
    /// How it is called, in types of Postgres: `text, bigint → text`; `any...` are as many as there are.
    pub signatures: &'static [&'static str],
    /// What it does: a sentence or two.
    pub documentation: &'static str,
    /// A call, and the text of its result.
    pub example: Option<(&'static str, &'static str)>,
    /// Who may call it.
    pub visibility: Visibility,
    /// What it compares.
    pub compares: Compares,
    /// Whether its arguments take one type.
    pub is_of_one_type: bool,
}

/// One way to call a function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// Types of the arguments.
    pub arguments: Vec<&'static str>,
    /// Whether the last argument may come as often as one likes.
    pub is_variadic: bool,
    /// Type of the result.
    pub returns: &'static str,
}

impl About {
    /// Whether statements may call it.
    pub fn is_public(&self) -> bool {
        self.visibility == Visibility::Public
    }

    /// Its name and its aliases.
    pub fn names(&self) -> impl Iterator<Item = &'static str> + use<> {
        std::iter::once(self.name).chain(self.aliases.iter().copied())
    }

    /// The ways to call it.
    pub fn calls(&self) -> impl Iterator<Item = Call> + use<> {
        self.signatures.iter().map(|signature| {
            let (arguments, returns) = signature.split_once('→').unwrap_or((signature, ""));
            let mut arguments: Vec<&str> = arguments.split(',').map(str::trim).collect();
            arguments.retain(|argument| !argument.is_empty());
            let repeated = arguments.last().and_then(|last| last.strip_suffix("..."));
            if let (Some(repeated), Some(last)) = (repeated, arguments.last_mut()) {
                *last = repeated;
            }
            Call { arguments, is_variadic: repeated.is_some(), returns: returns.trim() }
        })
    }
}

/// How a scalar function is made.
#[derive(Debug, Clone, Copy)]
pub enum Maker {
    /// Always in the same way.
    Plain(fn() -> Arc<ScalarUDF>),
    /// Over a clock: volatile, or for the one moment at which that clock stands.
    OfClock(fn(&Arc<dyn Clock>, bool) -> Arc<ScalarUDF>),
    /// It is DataFusion's of that name.
    OfEngine,
    /// DataFusion's planner knows the name and makes an expression of its own.
    OfLanguage,
}

/// A function: what is said of it, and how it is made.
#[derive(Debug, Clone, Copy)]
pub struct Entry<M = Maker> {
    /// What is said of it.
    pub about: About,
    /// How it is made.
    pub maker: M,
}

impl<M> Deref for Entry<M> {
    type Target = About;

    fn deref(&self) -> &About {
        &self.about
    }
}

impl<M: Copy> Entry<M> {
    /// A function that statements may call.
    pub const fn public(
        name: &'static str,
        signatures: &'static [&'static str],
        documentation: &'static str,
        maker: M,
    ) -> Self {
        Self {
            about: About {
                name,
                aliases: &[],
                volatility: Volatility::Immutable,
                signatures,
                documentation,
                example: None,
                visibility: Visibility::Public,
                compares: Compares::Nothing,
                is_of_one_type: false,
            },
            maker,
        }
    }

    /// A function that only plans have.
    pub const fn internal(name: &'static str, documentation: &'static str, maker: M) -> Self {
        let mut entry = Self::public(name, &[], documentation, maker);
        entry.about.visibility = Visibility::Internal;
        entry
    }

    /// With other names.
    #[must_use]
    pub const fn aliases(mut self, aliases: &'static [&'static str]) -> Self {
        self.about.aliases = aliases;
        self
    }

    /// With a call and the text of its result.
    #[must_use]
    pub const fn example(mut self, call: &'static str, result: &'static str) -> Self {
        self.about.example = Some((call, result));
        self
    }

    /// The same within a statement, as the session's time zone or its clock say.
    #[must_use]
    pub const fn stable(mut self) -> Self {
        self.about.volatility = Volatility::Stable;
        self
    }

    /// Another value at each call.
    #[must_use]
    pub const fn volatile(mut self) -> Self {
        self.about.volatility = Volatility::Volatile;
        self
    }

    /// It compares the items of arrays.
    #[must_use]
    pub const fn comparing_items(mut self) -> Self {
        self.about.compares = Compares::Items;
        self
    }

    /// It compares its arguments.
    #[must_use]
    pub const fn comparing(mut self) -> Self {
        self.about.compares = Compares::Arguments;
        self
    }

    /// Its arguments take one type.
    #[must_use]
    pub const fn of_one_type(mut self) -> Self {
        self.about.is_of_one_type = true;
        self
    }
}

/// How an aggregate is made, and what of its call it heeds. FILTER is heeded by all.
#[derive(Debug, Clone, Copy)]
pub struct Aggregation {
    /// Ours; `None` is DataFusion's of that name.
    pub make: Option<fn() -> AggregateUDF>,
    /// Whether DISTINCT may be written. DataFusion would pass over it in silence in the others, where it matters.
    pub takes_distinct: bool,
    /// Whether DISTINCT can change the result.
    pub heeds_distinct: bool,
    /// Whether the order of rows can change the result.
    pub heeds_order: bool,
    /// Whether jobs keep it up to date row by row; else it is for queries only.
    pub is_for_jobs: bool,
}

impl Aggregation {
    /// DataFusion's, for queries only.
    pub const OF_QUERIES: Self =
        Self { make: None, takes_distinct: true, heeds_distinct: true, heeds_order: false, is_for_jobs: false };
    /// DataFusion's, kept up to date by jobs.
    pub const OF_JOBS: Self = Self { is_for_jobs: true, ..Self::OF_QUERIES };

    /// Made by us in queries.
    #[must_use]
    pub const fn made(mut self, make: fn() -> AggregateUDF) -> Self {
        self.make = Some(make);
        self
    }

    /// DISTINCT changes nothing.
    #[must_use]
    pub const fn whatever_distinct(mut self) -> Self {
        self.heeds_distinct = false;
        self
    }

    /// DISTINCT is refused.
    #[must_use]
    pub const fn without_distinct(mut self) -> Self {
        self.takes_distinct = false;
        self
    }

    /// The order of rows matters.
    #[must_use]
    pub const fn in_order(mut self) -> Self {
        self.heeds_order = true;
        self
    }
}

/// Functions by name.
pub struct Registry<M: 'static> {
    entries: Vec<&'static Entry<M>>,
    by_name: HashMap<&'static str, &'static Entry<M>>,
}

impl<M> Registry<M> {
    /// A registry of these entries. Of two that have a name the first one is meant.
    pub fn of(families: impl IntoIterator<Item = &'static [Entry<M>]>) -> Self {
        let entries: Vec<&'static Entry<M>> = families.into_iter().flatten().collect();
        let mut by_name = HashMap::new();
        for entry in &entries {
            for name in entry.about.names() {
                by_name.entry(name).or_insert(*entry);
            }
        }
        Self { entries, by_name }
    }

    /// The entries, in no order.
    pub fn entries(&self) -> impl Iterator<Item = &'static Entry<M>> {
        self.entries.iter().copied()
    }

    /// The function of that name, or of that alias, in lower case.
    pub fn find(&self, name: &str) -> Option<&'static Entry<M>> {
        self.by_name.get(name).copied()
    }

    /// Names and aliases that statements may call.
    pub fn public_names<'a>(&'a self) -> impl Iterator<Item = &'a str> {
        let public = self.entries().filter(|entry| entry.about.is_public());
        public.flat_map(|entry| entry.about.names()).map(|name| -> &'a str { name })
    }
}
