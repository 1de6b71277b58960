// A well-behaved neighbour: counts to 20 over two seconds.
#include <stdio.h>
#include <unistd.h>

int main(void)
{
	for (int i = 1; i <= 20; i++) {
		printf("%d\n", i);
		fflush(stdout);
		usleep(100000);
	}
	return 0;
}
