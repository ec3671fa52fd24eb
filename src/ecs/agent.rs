//! The resource book of one host: tasks queue first in, first out (AGENT-2…6).
