//! It keeps what every store promises, alone and under a queue.

mod alone {
    store::conformance_tests!(crate::home::empty);
}

mod under_a_queue {
    queue::conformance_tests!(crate::home::empty);
}
