#include <cstdio>
#include <unistd.h>
#include <cstdlib>
#include <iostream>
using namespace std;
int main(int c,char**v){int x=0;scanf("%d",&x);FILE*f=fopen(v[2],"r");int y;fscanf(f,"%d",&y);return y==7?0:1;}