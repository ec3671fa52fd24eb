//! Why no container instance took a task (TASK-15, PLACE-18).
