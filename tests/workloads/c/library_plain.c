// flags: -O2 -fomit-frame-pointer
/* As library, and the program's own code has no frame pointers either. */
#include "library.c"
