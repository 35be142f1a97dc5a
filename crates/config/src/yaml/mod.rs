//! YAML as Go's `yaml.v2` reads it in strict mode, which is what people's files were written for:
//! a spanned tree ([`Tree`]), what its scalars mean ([`Value`]), and a decoder that collects every
//! mistake instead of stopping at the first ([`Cx`], [`Fields`]).

mod decode;
mod suggest;
mod tree;
mod value;

pub(crate) use decode::{Cx, Fields, Read, shown};
pub(crate) use suggest::closest;
pub(crate) use tree::{Kind, NodeId, Tree};
pub(crate) use value::Value;
