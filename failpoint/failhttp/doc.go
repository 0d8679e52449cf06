// Package failhttp is the HTTP interface of package failpoint. It has the routes,
// answers and status codes of gofail's:
//
//	GET    /            all points, a line name=terms each, sorted
//	GET    /NAME        the terms of a point; 404 if there is none or it is off
//	GET    /NAME/count  how many evaluations did a term; 404 if there is no such
//	                    point, 500 if it is off
//	PUT    /NAME        turns a point on; the body is its terms; 204, or 400
//	PUT    /failpoints  turns on many at once, or none; the body is
//	                    name=terms;name=terms; 204, or 400
//	DELETE /NAME        turns a point off; 204, or 400 if there is none or it is off
//
//	curl http://127.0.0.1:1234/net/send -XPUT -d'25%return("disk full")'
//
// Everything is answered by 403 while failpoints are not allowed in the process.
// The interface lets its users slow down and crash the program: it belongs on
// loopback or behind authentication.
//
// The package stands on failpoint and net/http, and knows nothing of keys.
package failhttp
