/* A program that is quick. */
int main(void)
{
	return 0;
}
