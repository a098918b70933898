// expect: CE CE
int main( {
