//! Named random streams: one generator per source of chance.
