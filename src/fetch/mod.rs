//! URLs in, bytes out: the only room that uses the network.
