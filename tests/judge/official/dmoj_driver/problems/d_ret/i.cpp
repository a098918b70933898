#include <cstdio>
#include <unistd.h>
#include <cstdlib>
#include <iostream>
using namespace std;
int main(int c,char**v){int x=0;scanf("%d",&x);puts("ok");return x==1?0:x;}