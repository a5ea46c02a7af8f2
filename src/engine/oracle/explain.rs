//! What EXPLAIN says of a few plans, and how plans that cannot run are refused.
