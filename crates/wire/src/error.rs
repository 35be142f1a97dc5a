//! What is wrong with a request body.

/// Why a body cannot be decoded. None of it is worth keeping, and sending it again is no help.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// The body would grow beyond a limit.
    #[error("decoded size exceeds the {max} bytes limit")]
    TooLarge {
        /// The limit, in bytes.
        max: usize,
    },
    /// The body is no snappy block.
    #[error("snappy: corrupt input: {0}")]
    Snappy(String),
    /// The message is no protobuf of the expected type.
    #[error("protobuf: byte {offset}: {problem}")]
    Malformed {
        /// Where in the decompressed message, counted from 0.
        offset: usize,
        /// What is wrong there.
        problem: Problem,
    },
}

/// What is wrong at a place in a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// The bytes end within a value.
    #[error("the message ends within a value")]
    Truncated,
    /// A variable-length integer has more than 64 bits.
    #[error("a varint is longer than 64 bits")]
    Varint,
    /// A field number is 0 or beyond 2^29.
    #[error("a field number is out of range")]
    FieldNumber,
    /// A wire type that does not exist, or not for this field.
    #[error("field {field} has wire type {wire_type}")]
    WireType {
        /// The field's number.
        field: u32,
        /// The wire type found.
        wire_type: u8,
    },
    /// A group ends that did not begin, or the other way round.
    #[error("a group is not closed, or was not open")]
    Group,
    /// Groups within groups within groups.
    #[error(
        "groups are nested more than {} deep",
        crate::protobuf::GROUP_DEPTH_MAX
    )]
    GroupDepth,
    /// A text is not UTF-8.
    #[error("a text is not valid UTF-8")]
    Utf8,
}

impl Problem {
    #[cold]
    pub(crate) fn at<T>(self, offset: usize) -> Result<T, WireError> {
        Err(WireError::Malformed {
            offset,
            problem: self,
        })
    }
}
