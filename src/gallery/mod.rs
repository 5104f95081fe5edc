//! What is done with a gallery as a whole. So far: filling the queue with its images and following
//! them to their ends.

pub mod others;
pub mod scan;
