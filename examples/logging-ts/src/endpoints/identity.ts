// Who is calling? One endpoint that accepts many kinds of caller and says
// which it saw.
import * as ccfapp from "@microsoft/ccf-app";

export function multiAuth(request: ccfapp.Request): ccfapp.Response<string> {
  const caller = request.caller!;
  if (Array.isArray(caller.policy)) {
    const all = caller as unknown as Record<string, ccfapp.AuthnIdentity>;
    const lines = [`Conjoined auth policy: ${caller.policy.join("+")}`];
    for (const name of caller.policy) {
      lines.push("", `${name}:`, ...describe(all[name]));
    }
    return { body: lines.join("\n") };
  }
  return { body: describe(caller).join("\n") };
}

function describe(caller: ccfapp.AuthnIdentity): string[] {
  switch (caller.policy) {
    case "user_cert": {
      const c = caller as ccfapp.UserCertAuthnIdentity;
      return [
        "User TLS cert",
        `The caller is a user with ID: ${c.id}`,
        `The caller's user data is: ${JSON.stringify(c.data)}`,
        `The caller's cert is:\n${c.cert}`,
      ];
    }
    case "member_cert": {
      const c = caller as ccfapp.MemberCertAuthnIdentity;
      return [
        "Member TLS cert",
        `The caller is a member with ID: ${c.id}`,
        `The caller's member data is: ${JSON.stringify(c.data)}`,
        `The caller's cert is:\n${c.cert}`,
      ];
    }
    case "any_cert": {
      const c = caller as ccfapp.AnyCertAuthnIdentity;
      return ["Any TLS cert", `The caller's cert is:\n${c.cert}`];
    }
    case "jwt": {
      const { jwt } = caller as ccfapp.JwtAuthnIdentity;
      return [
        "JWT",
        `The caller is identified by a JWT issued by: ${jwt.keyIssuer}`,
        `The JWT header is:\n${JSON.stringify(jwt.header)}`,
        `The JWT payload is:\n${JSON.stringify(jwt.payload)}`,
      ];
    }
    case "user_cose_sign1": {
      const c = caller as ccfapp.UserCOSESign1AuthnIdentity;
      return [
        "User COSE Sign1",
        `The caller is identified by a COSE Sign1 signed by kid: ${c.id}`,
        `The caller is identified by a COSE Sign1 with content of size: ${c.cose.content.byteLength}`,
      ];
    }
    default:
      return ["Unauthenticated", "The caller did not provide any authenticated identity"];
  }
}
