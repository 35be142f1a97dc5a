//! The life of one shard: claim, fence, replay, own, commit.
