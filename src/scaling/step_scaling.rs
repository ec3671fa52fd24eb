//! Step scaling (STEP-*, ASG-21…24).
