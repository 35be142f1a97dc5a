//! What is accepted and printed, what is refused and how, and what must hold for any text.

mod accept;
mod bounds;
mod pretty;
mod random;
mod reject;
