//! Secrets of WITH: kept apart from the catalog, encrypted, by reference.
