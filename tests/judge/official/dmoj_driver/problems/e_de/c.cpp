#include <cstdio>
#include <iostream>
#include <fstream>
using namespace std;
int main(int c,char**v){ifstream f(v[2]);int code;f>>code;f.ignore();string s;while(getline(f,s)){cerr<<s;if(!f.eof())cerr<<endl;}return code;}