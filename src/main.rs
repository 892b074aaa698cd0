//! The edge.

fn main() {}
