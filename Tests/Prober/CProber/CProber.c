#include "CProber.h"
