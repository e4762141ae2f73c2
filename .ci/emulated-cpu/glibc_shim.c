#include <stdlib.h>
unsigned long long __isoc23_strtoull(const char*a,char**b,int c){return strtoull(a,b,c);}
unsigned long __isoc23_strtoul(const char*a,char**b,int c){return strtoul(a,b,c);}
long __isoc23_strtol(const char*a,char**b,int c){return strtol(a,b,c);}
long long __isoc23_strtoll(const char*a,char**b,int c){return strtoll(a,b,c);}
#include <stdio.h>
#include <stdarg.h>
int __isoc23_sscanf(const char*s,const char*f,...){va_list a;va_start(a,f);int r=vsscanf(s,f,a);va_end(a);return r;}
