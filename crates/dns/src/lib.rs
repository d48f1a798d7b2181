//! What the DNS says, told apart: found, absent, or cannot tell.
