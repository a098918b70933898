#include <cstdio>
#include <unistd.h>
#include <cstdlib>
#include <iostream>
using namespace std;
int main(int c,char**v){cout<<"5"<<endl;int x;cin>>x;return x==5?0:1;}