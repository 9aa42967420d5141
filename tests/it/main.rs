//! tickoff from the outside: the library through its public API, and the program as a process, on
//! real files.

mod byte_exact;
mod fixture;
mod handler;
mod outside;
mod queue;
