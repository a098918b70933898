#include <cstdio>
#include <cstdlib>
int main(int c,char**v){printf("%s\n",c>1?v[1]:"none");fprintf(stderr,"%s\n",c>1?v[1]:"none");}