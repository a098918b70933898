#include <cstdio>
#include <unistd.h>
#include <cstdlib>
#include <iostream>
using namespace std;
int main(int c,char**v){int x=0;scanf("%d",&x);if(x==9)fprintf(stderr,"partial 1/5\n");if(x==8)fprintf(stderr,"partial 6/5\n");if(x==6)fprintf(stderr,"partial 0.5/1\n");if(x==5)fprintf(stderr,"partial 0/3\n");return x>=5?7:x;}