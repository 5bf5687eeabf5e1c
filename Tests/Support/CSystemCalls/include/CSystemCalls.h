// A kernel that tests can put in the place of the real one: the libc functions through which our code reaches the kernel
// are defined here, in the test program, which the linker prefers to the C library's. While a thread has a handler, each
// of its calls goes to that; every other call, and every call from inside a handler, goes on to the C library.
//
// So the code under test is the shipped code, unchanged, and pays nothing for being testable.
#ifndef CSYSTEMCALLS_H
#define CSYSTEMCALLS_H

// Answers a call: sets *handled and gives its result (-1 with errno set for a failure), or leaves *handled zero to let the
// call go on to the kernel. `arguments` are six numbers; what is a pointer in the call is its address.
typedef long (*clp_call_handler)(void *context, const char *name, const long *arguments, int *handled);

// Sets the calling thread's handler; 0 takes it away.
void clp_set_call_handler(clp_call_handler handler, void *context);
// The name of a system call by its number; 0 when it is none of those that our code makes by number.
const char *clp_call_name(long number);
// The first byte that a message would carry, for sendmsg's second argument; -1 when it is empty.
int clp_message_first_byte(long message);
#endif
