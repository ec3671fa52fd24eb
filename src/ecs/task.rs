//! Tasks: lifecycle, timestamps, stop codes (TASK-*).
