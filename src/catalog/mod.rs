//! The catalogue: instance types, prices and limits, each figure dated.
