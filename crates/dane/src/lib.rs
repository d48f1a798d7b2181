//! DNS-based authentication of mail hosts (RFC 6698, RFC 7672).
