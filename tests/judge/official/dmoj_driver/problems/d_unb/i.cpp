#include <cstdio>
#include <unistd.h>
#include <cstdlib>
#include <iostream>
using namespace std;
int main(int c,char**v){int x=0;scanf("%d",&x);puts("2");fflush(stdout);int y;if(scanf("%d",&y)!=1)return 1;return y==3?0:1;}