//! A small internet in process, over real sockets and real TLS: names, policy hosts, MX hosts, a wire tap.
