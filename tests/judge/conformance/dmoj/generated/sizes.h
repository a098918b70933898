enum { MOST = 100000 };
