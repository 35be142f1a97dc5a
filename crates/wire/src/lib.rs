//! Push and read protocols to and from the model.
