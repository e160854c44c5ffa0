/* load LIBRARY: loads a library and has it fill a map. */
#include "workload.h"

#include <dlfcn.h>

int main(int count, char **arguments)
{
	void *library = count > 1 ? dlopen(arguments[1], RTLD_NOW) : NULL;
	int (*fill)(int) = library ? (int (*)(int))dlsym(library, "Fill") : NULL;
	if (!fill) {
		puts("no library");
		return 1;
	}
	printf("assigns=%d\n", fill(5000));
	return 0;
}
