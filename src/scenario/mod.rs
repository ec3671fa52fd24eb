//! The scenario file: YAML to a checked [`Estate`](crate::control_plane::estate::Estate); every diagnostic has a place in the file.
