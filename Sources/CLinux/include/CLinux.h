// What Swift cannot call: variadic functions, macros and system calls without a libc wrapper.
// One shim, one line, one prefix (clp_). Topics stand in headers of their own, included here.
#ifndef CLINUX_H
#define CLINUX_H
#include "clp_base.h"
#endif
